"""The paper's use of all packages: what is compared in a world, over worlds, and what it says."""
