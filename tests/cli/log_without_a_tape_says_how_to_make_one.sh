estape log
