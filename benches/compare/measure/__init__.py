"""The parts of rig.py: processes, peers, load, statistics and the figures that the project holds itself to."""
