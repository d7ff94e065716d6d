"""A report and its forms: text, JSON, Markdown, JUnit and one HTML page."""
