"""DIMSE: the node on the DICOM network."""
