"""The paper's use of all rooms: what is compared in a world, over worlds, and what it says."""
