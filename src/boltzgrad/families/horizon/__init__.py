"""Followers with a finite horizon."""
