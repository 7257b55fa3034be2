"""The story of a run in plots and samples: one HTML file that needs no network, and the same figures as images."""
