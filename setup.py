"""Muster: the roll call of a device fleet over MQTT."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "actors" / "version.py").read_text())
assert VERSION is not None

BASE = ["pykka>=4.5,<5", "paho-mqtt~=2.2", "psutil~=7.2", "msgspec>=0.22,<0.23"]
SERVER = [
    "peewee~=4.5.3",
    "bottle~=0.13.4",
    "cheroot~=11.1",
    "prometheus-client~=0.26",
    "click~=8.5",
    "rich~=15.0",
    "cryptography>=50,<51",
    "packaging>=24",
    "zeroconf<1",
]
POSTGRES = ["psycopg[binary]~=3.3"]
MYSQL = ["PyMySQL~=1.2"]
# The broker in pure Python that `muster up` falls back to where no mosquitto is installed.
BROKER = ["amqtt==0.12.1"]
PARQUET = ["pyarrow>=20"]
# Mail, chat and phone services for the news of alarms.
ALERTS = ["apprise>=1.9,<3"]
EDGE = ["zeroconf<1"]
SCANNER = ["evdev~=2.0"]
# What an edge needs to check and install a signed release, in a process of its own.
OTA = ["cryptography>=50,<51", "packaging>=24"]
DEV = [
    "pytest>=9,<10",
    "pytest-timeout~=2.4",
    "pytest-xdist~=3.8",
    "hypothesis~=6.170",
    "playwright~=1.65",
    "schemathesis~=4.32",
    "openapi-spec-validator>=0.9,<1",
    "axe-playwright-python~=0.1",
    "ruff~=0.17",
    "mypy~=2.4",
    "import-linter~=2.16",
    "build~=1.6",
    "types-psutil",
]

setup(
    name="muster-fleet",
    version=VERSION.group(1),
    description="The roll call of a device fleet over MQTT: discovery, presence, durable readings.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["actors*", "supervisor*", "web*", "edge*"]),
    package_data={
        "actors": ["py.typed"],
        "supervisor": ["py.typed"],
        "web": ["py.typed", "static/*/*", "texts/*/*.json"],
        "edge": ["py.typed"],
    },
    install_requires=BASE,
    extras_require={
        "server": SERVER,
        "postgres": POSTGRES,
        "mysql": MYSQL,
        "broker": BROKER,
        "parquet": PARQUET,
        "alerts": ALERTS,
        "edge": EDGE,
        "scanner": SCANNER,
        "ota": OTA,
        "dev": SERVER + POSTGRES + MYSQL + BROKER + EDGE + SCANNER + OTA + DEV,
    },
    entry_points={
        "console_scripts": [
            "muster = supervisor.cli:main",
            "muster-edge = edge.cli:main",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Topic :: System :: Networking :: Monitoring",
    ],
)
