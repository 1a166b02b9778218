"""What the providers of Alibaba Cloud's Model Studio share, and the choice between them."""
