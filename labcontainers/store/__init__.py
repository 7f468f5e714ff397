"""The store: content by digest, layer trees, records and locks; it must not know containers at run time or images as users see them."""
