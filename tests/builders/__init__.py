"""What several tests build with: no test stands here, and no test module imports another."""
