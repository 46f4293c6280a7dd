"""What several tests need: models, exports, references; no tests."""
