# Micro benchmarks that link the program's own objects.
$(BUILD)/bench-micro/bench_es: tests/bench/bench_es.c $(filter-out $(BUILD)/src/main.o,$(OBJ))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $^ $(LIBS)
.PHONY: bench-micro
bench-micro: $(BUILD)/bench-micro/bench_es

.PHONY: bench-peers scale
#: bench-peers  other tools beside estape on the same captures, and after replay on a real node (skips what is not installed)
bench-peers: all
	$(Q)tools/peers/goreplay.sh || true
	$(Q)tools/peers/run
	$(Q)tools/peers/replay

#: scale     record and ask tapes of growing length: SIZES=1,10,100 millions of exchanges; a table and build/scale.svg
scale: all
	$(Q)tools/scale --sizes $(or $(SIZES),1,3,10)
