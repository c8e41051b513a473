"""What a network looked at in an image, what its layers see, and how far such maps can be trusted.

target.py     the number that is explained: a class, a difference of two, a region of a mask
score.py      that number as a function of the network's input
tiled.py      the same of masks larger than memory, tile by tile
gradients.py  gradient, SmoothGrad, integrated gradients, guided backprop, deconvnet
cam.py        Grad-CAM and Grad-CAM++, and the layer that they look at
occlusion.py  occlusion and RISE, which need no gradients
incremental.py  a network on images that differ from one in a box: only what the box reaches is computed again
methods.py    the one list of methods
result.py     a map, and a list of them; both show themselves
watermark.py  whether one small place is enough for a class
trust.py      insertion and deletion against baselines, randomised parameters
"""
