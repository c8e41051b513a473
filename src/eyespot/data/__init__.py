"""From files to arrays: what is in a folder, what is wrong with it, and its images decoded once."""
