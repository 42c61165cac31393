"""The record of every change: who has done what, from where."""
