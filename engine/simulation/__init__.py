"""Virtual time: the world, scenario files and the checkers that watch from outside."""
