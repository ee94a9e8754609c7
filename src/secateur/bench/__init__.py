"""Small models and data sets that the benchmark, the demo and the tests run on."""
