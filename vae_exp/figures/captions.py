"""What the pictures show, in a sentence each, for pages."""

CAPTIONS = {
    "analogies": "Every row is one test image: its latents, decoded with every label. The style stays and the class "
    "changes.",
    "figure2": "The ranking metric against the training samples, one panel for each size, and its last values against "
    "the size. Thick lines are the test split, thin lines the training split, dashed lines the paper's curves.",
    "figure3": "The estimated log p(x) against the training samples, one panel for each size. Thick lines are the test "
    "split, thin lines the training split, dashed lines the paper's curves.",
    "filters": "Weights of the first layer, each divided by its largest magnitude: grey is zero, white positive, black "
    "negative. Those of the largest norm come first.",
    "latent_scatter": "The codes of test images, coloured by their labels. If the code is random, its mean is shown.",
    "manifold": "Images decoded from a grid over the two latents. Without labels, neighbours are equal steps of "
    "probability apart; with labels there is a panel for each class, and both latents go from −5 to 5.",
    "reconstructions": "Test images, and the mean of p(x|z) at their codes. If there is a row of corrupted images, the "
    "model saw those.",
    "samples": "Images decoded from draws of the prior: the mean of p(x|z).",
    "search": "Every completed trial of the search, against each value that it varied. The best one is marked.",
}
"""The caption of each picture, by the name of its file without the ending."""
