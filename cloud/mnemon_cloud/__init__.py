"""What runs in the cloud: help for questions that are too hard for the device, seeing only what the owner lets it see."""
