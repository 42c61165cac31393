"""What a reading means: health index, anomalies, forecasts. Pure functions; no actor, no input or output."""

from __future__ import annotations

from actors.analysis.baseline import Baseline, Usual
from actors.analysis.crops import CROPS
from actors.analysis.measures import MEASURES, Measure
from actors.analysis.plugins import load_analysers
from actors.analysis.results import Analyser, Analysis, Anomaly, BeyondPhysicsError
from actors.analysis.settings import SiteSoil, SoilSettings
from actors.analysis.soil import STATUSES, SoilAnalyser, status_of
from actors.analysis.trend import Forecast

__all__ = [
    "CROPS",
    "MEASURES",
    "STATUSES",
    "Analyser",
    "Analysis",
    "Anomaly",
    "Baseline",
    "BeyondPhysicsError",
    "Forecast",
    "Measure",
    "SiteSoil",
    "SoilAnalyser",
    "SoilSettings",
    "Usual",
    "load_analysers",
    "status_of",
]
