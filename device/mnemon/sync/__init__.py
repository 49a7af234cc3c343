"""The device's end of the cloud: enrolment, questions that wait for a line, and the background process for both."""
