# Micro benchmarks that link the program's own objects.
$(BUILD)/bench-micro/bench_es: tests/bench/bench_es.c $(filter-out $(BUILD)/src/main.o,$(OBJ))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $^ $(LIBS)
.PHONY: bench-micro
bench-micro: $(BUILD)/bench-micro/bench_es
