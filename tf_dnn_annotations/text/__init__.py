"""Words for people: text made harmless, and suggestions for misspelt words.

Standard library only. Imports nothing of this project.
"""
