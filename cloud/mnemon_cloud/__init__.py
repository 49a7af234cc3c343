"""What runs in the cloud: help with what is too hard for the device, seeing only what the owner lets it see."""
