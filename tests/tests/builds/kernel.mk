# A build in the manner of Kbuild: recursive, dependencies by -Wp,-MMD, no system headers but those named, assembler units with a
# preprocessor, and a file taken in by .incbin. The kernel's own copy of zstd is built like this.
#
# make -f kernel.mk CC=gcc SRC=/path/to/zstd/lib SELF=/path/to/kernel.mk

DIRECTORIES := common decompress

ifeq ($(obj),)

all: $(DIRECTORIES) config.o
$(DIRECTORIES):
	$(MAKE) -f $(SELF) obj=$@
config.o: config.c config_data
	$(CC) -Wp,-MMD,.config.o.d -O1 -DKBUILD_BASENAME='"config"' -c -o $@ $<
.PHONY: all $(DIRECTORIES)

else

MULTIARCH := $(shell $(CC) -print-multiarch)
INCLUDE := $(shell $(CC) -print-file-name=include)
FLAGS := -nostdinc -isystem $(INCLUDE) -isystem /usr/include/$(MULTIARCH) -isystem /usr/include -I$(SRC) -std=gnu11 -O1 \
	-fno-strict-aliasing -fno-common -fno-stack-protector -fno-asynchronous-unwind-tables -fmacro-prefix-map=$(SRC)/= \
	-Wall -Wundef -Wno-trigraphs -Wno-sign-compare
NAMES = -DKBUILD_MODFILE='"$*"' -DKBUILD_BASENAME='"$(notdir $*)"' -DKBUILD_MODNAME='"zstd"' -D__KBUILD_MODNAME=kmod_zstd
C := $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/$(obj)/*.c))
S := $(patsubst $(SRC)/%.S,%.o,$(wildcard $(SRC)/$(obj)/*.S))

$(obj)/built-in.a: $(C) $(S)
	rm -f $@; ar cDrs $@ $^
$(C): %.o: $(SRC)/%.c
	@mkdir -p $(@D)
	$(CC) -Wp,-MMD,$(@D)/.$(@F).d $(FLAGS) $(NAMES) -c -o $@ $<
$(S): %.o: $(SRC)/%.S
	@mkdir -p $(@D)
	$(CC) -Wp,-MMD,$(@D)/.$(@F).d $(FLAGS) -D__ASSEMBLY__ -c -o $@ $<

endif
