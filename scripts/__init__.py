"""What make runs: setting up, building, the demo and the test runs."""
