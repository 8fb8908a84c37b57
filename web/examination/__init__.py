"""What `flask doctor` looks at outside the process: the disk under the data directory, and the way in from the world."""
