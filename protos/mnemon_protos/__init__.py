"""The wire between the device and the cloud: protocol definitions and the code generated from them."""
