"""Helpers that tests share: models, exports, processes and references."""
