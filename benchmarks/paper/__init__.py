"""The paper's Figure 3 and cost paragraph (arXiv 2103.10673), redone by the product's own commands."""
