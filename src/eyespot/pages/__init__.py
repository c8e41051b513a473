"""What the pages that eyespot writes share: head, style, list of contents, and the look of charts."""
