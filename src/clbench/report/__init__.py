"""Reports: pure functions of finished runs. No torch, no engine."""
