#! neighbour
def help():
    return f"helped from {__file__}"
