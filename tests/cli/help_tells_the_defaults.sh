estape record --help | tr -s ' \n' ' ' | grep -oE -e '--(port|tape|flush|user|ring|snaplen|segment-size|segment-age|keep-bodies|max-size) [^-]*default:? [^ ]*'
estape log --help | tr -s ' \n' ' ' | grep -oE -e '--tape [^-]*default:? [^ ]*'
