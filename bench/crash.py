"""SIGKILL of the server in mid-stream, again and again: how many of the messages are lost, how many stored twice."""

from __future__ import annotations

import random

from tests.support.killing import kill_round
from tests.support.mosquitto import Mosquitto
from tests.support.muster import Muster

ROUNDS = 50
MESSAGES = 20_000


def run() -> None:
    chance = random.Random(1)
    lost = twice = letters = 0
    seconds = 0.0
    with Mosquitto() as mosquitto, Muster(mosquitto.url) as server:
        for number in range(ROUNDS):
            outcome = kill_round(
                server, mosquitto.url, first=number * MESSAGES, messages=MESSAGES, kills=1, chance=chance, timeout=120
            )
            lost += len(outcome.lost)
            twice += len(outcome.twice)
            letters += outcome.dead_letters
            seconds += outcome.seconds
            if not outcome.kept:
                print(f"round {number + 1}: lost {outcome.lost[:10]}, twice {outcome.twice[:10]}", flush=True)
    print(f"{ROUNDS} kills, {ROUNDS * MESSAGES} messages in {seconds:.0f} s: {lost} lost, {twice} stored twice, "
          f"{letters} dead letters", flush=True)  # fmt: skip
