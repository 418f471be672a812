# The table of REST routes. `make routes` remakes the C tables from src/es/routes.tsv (needs awk alone) and
# `make routes-list` the list itself from the published packages (needs python3, mvn and npm); both results are checked in.
ROUTES_LIST := src/es/routes.tsv

.PHONY: routes routes-list routes-check
routes:
	$(Q)LC_ALL=C awk -v part=api -f tools/routes/make_table.awk $(ROUTES_LIST) > src/es/route_api.h.new && mv src/es/route_api.h.new src/es/route_api.h
	$(Q)LC_ALL=C awk -v part=table -f tools/routes/make_table.awk $(ROUTES_LIST) > src/es/route_table.h.new && mv src/es/route_table.h.new src/es/route_table.h

routes-list:
	$(Q)python3 -B tools/routes/make_routes.py --cache $(BUILD)/routes-cache
	$(Q)$(MAKE) --no-print-directory routes

# Are the checked-in tables what the list says?
routes-check:
	$(Q)mkdir -p $(GEN)
	$(Q)LC_ALL=C awk -v part=api -f tools/routes/make_table.awk $(ROUTES_LIST) | cmp - src/es/route_api.h
	$(Q)LC_ALL=C awk -v part=table -f tools/routes/make_table.awk $(ROUTES_LIST) | cmp - src/es/route_table.h

.PHONY: bench-route
$(BUILD)/bench-micro/bench_route: tests/bench/bench_route.c $(BUILD)/src/es/route.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $^
bench-route: $(BUILD)/bench-micro/bench_route
	$(Q)$<
