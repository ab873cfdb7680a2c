"""What Epochal costs, measured against its budgets: `python -m benchmarks`."""
