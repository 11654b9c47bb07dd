#! exit: 1
#! err: ModuleNotFoundError: No module named 'not_there'\n'not_there' is neither in the python environment nor among
#! not: site-packages
def main():
    import not_there


main()
