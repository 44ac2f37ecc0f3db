#!/bin/sh
# Tells dracut that there is a root file system, although no root= names one.
# shellcheck disable=SC2034
root=aios-live
rootok=1
