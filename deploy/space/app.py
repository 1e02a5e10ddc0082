"""The entry point of a Hugging Face Space; the page is examples/gradio_app.py, copied beside it."""

from gradio_app import page

page().launch()
