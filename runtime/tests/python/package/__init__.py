VALUE = __name__ + ".value"
