"""From what was asked and what was found to what may be said.

A small model never costs the owner an answer: it may phrase one, but only with names, numbers and dates that its
sources contain; otherwise the owner's own words are quoted with their day, or Mnemon says that it does not know.
"""
