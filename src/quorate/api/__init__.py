"""Doors: each verb once in `commands`, and the ways in that call it. No decisions here."""
