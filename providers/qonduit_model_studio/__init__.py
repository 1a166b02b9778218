"""What the two providers of Alibaba Cloud's Model Studio share: a library; it has no entry point of its own."""
