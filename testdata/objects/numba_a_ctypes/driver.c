/* The callback of the session under the name that the map gives it, and stubs for Python, which is not reached. */
#include <stdio.h>
#include <stdlib.h>

double my_pycb(double x) { return x * 3; }

void PyArg_UnpackTuple(void) { abort(); }
void PyErr_Occurred(void) { abort(); }
void PyErr_SetString(void) { abort(); }
static char PyExc_RuntimeError_object; void *PyExc_RuntimeError = &PyExc_RuntimeError_object;
void PyFloat_AsDouble(void) { abort(); }
void PyFloat_FromDouble(void) { abort(); }
void PyNumber_Float(void) { abort(); }
void Py_DecRef(void) { abort(); }

int _ZN4case4dispB2v1B38c8tJTIeFIjxB2IKSgI4CrvQClQZ6FczSBAA_3dEd(double *, void **, double);

int main(void) {
    double answer;
    void *exception;
    int status = _ZN4case4dispB2v1B38c8tJTIeFIjxB2IKSgI4CrvQClQZ6FczSBAA_3dEd(&answer, &exception, 0.5);
    printf("%d %.15f\n", status, answer);
    return 0;
}
