"""What the benchmarks share: load generators, baselines, servers. Programs to run stand one folder up."""
