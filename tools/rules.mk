# The rule pack of src/alert/rules becomes C strings for src/alert/pack.c, and is installed to the share directory.
RULE_FILES := $(sort $(wildcard src/alert/rules/*.yml))

$(GEN)/rules_pack.inc: $(RULE_FILES) tools/rules.mk tools/rules_pack.awk
	$(Q)mkdir -p $(@D)
	$(Q)echo "  GEN   $@"
	$(Q)LC_ALL=C awk -f tools/rules_pack.awk $(RULE_FILES) > $@.new && mv $@.new $@

$(BUILD)/src/alert/pack.o: $(GEN)/rules_pack.inc
$(BUILD)/src/alert/pack.o: FLAGS += -I$(GEN)
