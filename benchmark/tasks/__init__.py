"""Tasks: what is predicted from the weights, with which loss and metric, and how it is selected."""
