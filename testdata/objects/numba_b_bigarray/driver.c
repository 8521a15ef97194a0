/* Stubs for Python and for what Numba keeps to itself, which are not reached. */
#include <stdio.h>
#include <stdlib.h>

void PyArg_UnpackTuple(void) { abort(); }
void PyErr_Clear(void) { abort(); }
void PyErr_Occurred(void) { abort(); }
void PyErr_SetNone(void) { abort(); }
void PyErr_SetString(void) { abort(); }
void PyErr_WriteUnraisable(void) { abort(); }
static char PyExc_RuntimeError_object; void *PyExc_RuntimeError = &PyExc_RuntimeError_object;
static char PyExc_StopIteration_object; void *PyExc_StopIteration = &PyExc_StopIteration_object;
static char PyExc_SystemError_object; void *PyExc_SystemError = &PyExc_SystemError_object;
void PyFloat_FromDouble(void) { abort(); }
void PyLong_AsLongLong(void) { abort(); }
void PyNumber_Long(void) { abort(); }
void PyUnicode_FromString(void) { abort(); }
void Py_DecRef(void) { abort(); }
void numba_gil_ensure(void) { abort(); }
void numba_gil_release(void) { abort(); }

int _ZN4case4dispB2v1B38c8tJTIeFIjxB2IKSgI4CrvQClQZ6FczSBAA_3dEx(double *, void **, long);

int main(void) {
    double answer;
    void *exception;
    int status = _ZN4case4dispB2v1B38c8tJTIeFIjxB2IKSgI4CrvQClQZ6FczSBAA_3dEx(&answer, &exception, 10);
    printf("%d %.1f\n", status, answer);
    return 0;
}
