"""From a decoded file to the network's input: chosen from the headers, resized, normalised."""
